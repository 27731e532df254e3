//! The links of the byte-exact backend as applications meet them.

mod caps;
mod ends;
mod lab;
mod times;
