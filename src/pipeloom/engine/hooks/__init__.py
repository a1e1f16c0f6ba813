"""What is called when a run has ended: functions of the pipeline, and a command of the user's settings."""
