using System.Runtime.CompilerServices;

// Scratch on the stack is written before it is read; clearing it first would cost more than some kernels do.
[module: SkipLocalsInit]
