"""Other people's logs, read as lines of the public log format."""
