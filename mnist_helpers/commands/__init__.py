"""What the command line can do, one function a command: read arguments, call the modules below, print."""
