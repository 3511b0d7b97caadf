"""nuScenes in and out: read it without its devkit, check a download, write the world in its format, open other projects' caches."""
