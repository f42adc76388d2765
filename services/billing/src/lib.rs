//! The billing service of Counterfoil.
