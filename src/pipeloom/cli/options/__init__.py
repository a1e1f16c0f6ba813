"""The options and arguments that commands share: of all commands, and of those that run a pipeline."""
