"""The wall time of jobs that wait for each other, on several devices that take one job at a time.

A job of several processes takes a device for each, or all devices where these are fewer.
"""

import heapq
from collections.abc import Mapping

from report.forecast.jobs import Job


def wall_seconds(jobs: Mapping[str, Job], seconds: Mapping[str, float], devices: int) -> float:
    """The time when the last of ``jobs`` ends: free devices take the waiting job with the longest way after it.

    Where this job needs more devices than are free, these wait with it. A need that isn't among ``jobs`` is taken to be
    there.
    """
    taken = {name: min(job.processes, devices) for name, job in jobs.items()}
    needs, followers = _edges(jobs)
    ways = _ways(followers, seconds)
    ready = [(-ways[name], name) for name, needed in needs.items() if not needed]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now, free = 0.0, devices
    while ready or running:
        while ready and taken[ready[0][1]] <= free:
            _, name = heapq.heappop(ready)
            heapq.heappush(running, (now + seconds[name], name))
            free -= taken[name]
        now, name = heapq.heappop(running)
        free += taken[name]
        for follower in followers[name]:
            needs[follower].remove(name)
            if not needs[follower]:
                heapq.heappush(ready, (-ways[follower], follower))
    return now


def longest_chain(jobs: Mapping[str, Job], seconds: Mapping[str, float]) -> list[str]:
    """The jobs, each waiting for the one before, that take the longest together: the wall time on endless devices."""
    _, followers = _edges(jobs)
    ways = _ways(followers, seconds)
    chain = [max(jobs, key=lambda name: ways[name])]
    while after := followers[chain[-1]]:
        chain.append(max(after, key=lambda name: ways[name]))
    return chain


def _edges(jobs: Mapping[str, Job]) -> tuple[dict[str, set[str]], dict[str, list[str]]]:
    """What each job waits for, and which jobs wait for it."""
    needs = {name: {need for need in job.needs if need in jobs} for name, job in jobs.items()}
    followers: dict[str, list[str]] = {name: [] for name in jobs}
    for name, needed in needs.items():
        for need in needed:
            followers[need].append(name)
    return needs, followers


def _ways(followers: Mapping[str, list[str]], seconds: Mapping[str, float]) -> dict[str, float]:
    """For each job the seconds of the longest chain that begins with it."""
    ways: dict[str, float] = {}
    wanted = list(followers)
    while wanted:  # a recursion may be too deep
        name = wanted[-1]
        after = [follower for follower in followers[name] if follower not in ways]
        if name not in ways and after:
            wanted += after
            continue
        wanted.pop()
        ways[name] = seconds[name] + max((ways[follower] for follower in followers[name]), default=0.0)
    return ways
