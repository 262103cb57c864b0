"""Processes that work for another one."""

import multiprocessing
import multiprocessing.connection
import os
import threading


def end_with_the_parent() -> None:
    """In a process that `multiprocessing` started: end when the one that started it does, killed or not."""

    def wait():
        multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
