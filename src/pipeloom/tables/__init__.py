"""Tables that pipeloom creates and writes: what they hold, what workers hand over, and how it becomes rows."""
