"""Report on a run to people: summary, tables, pictures, report.html, plan and status; write and read it whole."""
