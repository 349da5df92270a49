# For fingers that type make: each target is a task of ./do, with ARGS passed on.
TASKS := demo test test-all test-slow lint format types bench lock clean
.PHONY: help $(TASKS)
help: ; @./do
$(TASKS): ; @./do $@ $(ARGS)
