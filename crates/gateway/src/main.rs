//! The `tollgate` binary.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// With glibc's allocator, malloc and free took a sixth of a worker's CPU time per call, much of it for consolidation.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    tollgate_gateway::cli::main()
}
