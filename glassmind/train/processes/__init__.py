"""One model trained by several processes.

Read ``launch`` (how processes find each other), ``process_group`` (what they do together),
``distributed`` (each has the whole model) and ``fully_sharded`` (each has a part of it);
``termination`` notices SIGTERM.
"""
