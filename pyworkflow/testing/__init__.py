"""The test kit: for people who test workflows, and for those who write a backend. No running code imports it."""
