mod identity;
mod stream;
mod verification;
