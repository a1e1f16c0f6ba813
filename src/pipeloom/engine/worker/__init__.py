"""The worker's side: the channel, the validation of messages, captured output, the call of the function."""
