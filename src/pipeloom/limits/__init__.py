"""What holds tasks back: limits that a pipeline declares and tasks name, and the wait that a worker asks for."""
