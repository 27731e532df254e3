//! The links of the byte-exact backend as applications meet them.

mod caps;
mod ends;
mod faults;
mod lab;
mod times;
