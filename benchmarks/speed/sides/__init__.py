"""Libraries that learn and decide, a file each, which runs in that library's environment."""
