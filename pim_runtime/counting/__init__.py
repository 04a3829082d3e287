"""Automatic instruction counts: what a kernel costs on a DPU, from its syntax tree and the C types of its values.

`counted(closure)` gives the kernel with meters in it. It is Python source like the kernel itself, so that both engines
run the same meters and count alike. The rules are those of the DPU's compiler, as published listings show them.
"""
