//! The customer service of Counterfoil.
