"""numba's side of the kernel language: types, passes and drivers that turn a kernel into machine code.

Importing a module of this package imports numba. Results must equal those of the interpreted engine, bit for bit.
"""
