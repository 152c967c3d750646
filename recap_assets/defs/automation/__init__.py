"""What looks and starts runs by itself; all of it rests on the planner.

The planner looks at state, so a tick that was missed is made up for by the next one.
"""
