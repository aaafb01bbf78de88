"""The program vpr_ros: prints, progress, exit codes."""
