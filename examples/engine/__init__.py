"""The program of the first tukio's README, with ``asyncio.run`` instead of a loop of its own. Given a backend, it survives being killed."""
