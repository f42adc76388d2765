//! The webhook-gateway service of Counterfoil.
