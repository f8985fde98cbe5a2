# Install rules and the exported package gapbench:: (filled with the libraries).
