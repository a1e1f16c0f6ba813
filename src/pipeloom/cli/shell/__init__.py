"""What the programs do for a shell: completion, and options from variables of the environment."""
