"""Report on a run: summary, tables, pictures, report.html, plan and status."""
