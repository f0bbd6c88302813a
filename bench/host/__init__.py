"""The machine underneath: files and folders, downloads, processes, memory, progress."""
