"""Runs of what has changed: the input key of a task, how it differs from the last one, and the plan of a run.

`input_key` has the key, which a worker takes before each attempt. `past` compares tasks with the file, `plan` decides
for a run and for `pipeloom plan` alike which tasks run, `changes` does so for tasks that workers put.
"""
