"""What is written about a run: summary, tables, pictures, report.html, plan and status."""
