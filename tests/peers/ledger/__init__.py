"""The judge of the sandbox's money: a second bookkeeper, who knows what was asked for and what Stripe documents, and shares
no code with the sandbox.

`play` acts on the sandbox over HTTP, on hundreds of customers through a year of virtual time; `story` draws what they do;
`life` keeps the books of each from what was asked, never from what was answered; `compare` holds both against each other.
The rules are in `calendar` (periods), `prices`, `discounts`, `prorations` and `usage`. Amounts are whole minor units, whatever
lies between is a `Fraction`, moments are Unix seconds.
"""
