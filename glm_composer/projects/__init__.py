"""`glm init`: a project of one's own that uses the installed library."""
