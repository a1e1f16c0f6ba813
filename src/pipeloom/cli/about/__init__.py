"""What the program tells about itself and its settings: `pipeloom info` and `pipeloom config`."""
