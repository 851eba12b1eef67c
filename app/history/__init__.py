"""Conversations on disk: one SQLite file, the attached files beside it, and the jobs that take their time. No Qt."""
