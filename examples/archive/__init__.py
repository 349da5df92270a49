"""Archives a folder: one activity for each file, a child process for each subfolder."""
