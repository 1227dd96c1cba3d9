//! Tests of the binary file.
