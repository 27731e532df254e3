//! The links of the byte-exact backend as applications meet them.

mod caps;
mod lab;
mod times;
