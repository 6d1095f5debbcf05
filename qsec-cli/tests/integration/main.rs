//! The program as its users see it: started, fed, and judged by what it prints, writes and exits with.

mod audit;
mod chapters;
mod contract;
mod customer_keys;
mod deployments;
mod examples;
mod hostile;
mod identity;
mod keys;
mod messages;
mod policies;
mod reduce;
mod reencryption;
mod sealing;
mod streams;
mod support;
mod tenants;
mod worked_cases;
