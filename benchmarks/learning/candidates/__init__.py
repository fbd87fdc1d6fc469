"""One file for each library: how it is driven, and the settings it is tried at."""
