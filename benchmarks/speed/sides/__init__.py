"""Libraries that learn and decide, a file each; a file imports its library and runs in that library's environment."""
