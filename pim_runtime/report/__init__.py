"""What a timeline tells, afterwards: tables, traces and plots. Reads only."""
