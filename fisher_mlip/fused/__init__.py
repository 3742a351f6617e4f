"""Network -> the same network over fused operators: the fast way to evaluate it on CPUs."""
