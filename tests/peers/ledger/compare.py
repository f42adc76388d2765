"""Holds what the sandbox says against the books."""


def expected(invoice):
    """An invoice of the books, in the words of `said`."""
    told = {
        "created": invoice.created, "subscription": invoice.subscription, "reason": invoice.reason, "status": invoice.status,
        "lines": sorted((line.amount, *line.period, line.off, line.proration, line.discountable) for line in invoice.lines),
        "subtotal": invoice.subtotal, "off": invoice.off, "total": invoice.total,
    }
    if invoice.status != "draft":
        told |= {"amount_due": invoice.due, "starting_balance": invoice.starting, "ending_balance": invoice.ending}
        told |= {"amount_paid": invoice.due, "amount_remaining": 0, "finalized": invoice.finalized}
    return told


def said(invoice):
    """An invoice as the API gives it."""
    parent = invoice["parent"] or {}
    told = {
        "created": invoice["created"], "subscription": (parent.get("subscription_details") or {}).get("subscription"),
        "reason": invoice["billing_reason"], "status": invoice["status"], "lines": sorted(map(line, invoice["lines"]["data"])),
        "subtotal": invoice["subtotal"], "off": sum(one["amount"] for one in invoice["total_discount_amounts"]),
        "total": invoice["total"],
    }
    if invoice["status"] != "draft":
        told |= {name: invoice[name] for name in ("amount_due", "starting_balance", "ending_balance", "amount_paid", "amount_remaining")}
        told["finalized"] = invoice["status_transitions"]["finalized_at"]
    return told


def details(line):
    parent = line["parent"]
    return parent["subscription_item_details"] or parent["invoice_item_details"]


def line(one):
    off = sum(discount["amount"] for discount in one["discount_amounts"])
    period = one["period"]["start"], one["period"]["end"]
    return one["amount"], *period, off, details(one)["proration"], one["discountable"]


def differences(books, invoices):
    """Where the invoices of a customer are not those of its books, each in words with both reckonings."""
    def place(one):
        return one["created"], one["subscription"] or "", one["total"]

    ours = sorted((expected(one) for one in books.invoices), key=place)
    theirs = sorted((said(one) for one in invoices), key=place)
    ids = {str(said(one)): one["id"] for one in invoices}
    found = []
    for mine, other in pair(ours, theirs):
        if mine is None:
            found.append(f"{books.id}: an invoice too many, {ids[str(other)]}: {other}")
        elif other is None:
            found.append(f"{books.id}: an invoice is missing: {mine}")
        else:
            found += [
                f"{books.id}: {ids[str(other)]} at {mine['created']} ({mine['reason']}): {name} is {other[name]}, and should be {mine[name]}"
                for name in mine
                if mine[name] != other.get(name)
            ]
    return found


def pair(ours, theirs):
    """Invoices of the same moment and subscription, in pairs; what has no partner stands alone."""
    theirs = list(theirs)
    for mine in ours:
        partner = next((one for one in theirs if (one["created"], one["subscription"]) == (mine["created"], mine["subscription"])), None)
        if partner:
            theirs.remove(partner)
        yield mine, partner
    for other in theirs:
        yield None, other


def of_customer(books, balance):
    """Whether the balance of a customer is that of its books."""
    return [] if balance == books.balance else [f"{books.id}: the balance is {balance}, and should be {books.balance}"]


def of_subscriptions(books, subscriptions):
    """Whether subscriptions are in the states and periods of the books."""
    found = []
    told = {one["id"]: one for one in subscriptions}
    for one in books.subscriptions:
        items = sorted((item.id, item.price.id, item.start, item.end) for item in one.items)
        mine = (one.status, one.anchor, items)
        other = told[one.id]
        items = other["items"]["data"]
        items = sorted((item["id"], item["price"]["id"], item["current_period_start"], item["current_period_end"]) for item in items)
        other = (other["status"], other["billing_cycle_anchor"], items)
        if mine != other:
            found.append(f"{books.id}: {one.id} is {other}, and should be {mine}")
    return found


def twice_or_never(books, invoices):
    """Periods of items that were invoiced twice, or not one after the other: by the invoices alone.

    A period is cut short where periods begin anew. An item that went over to another length is left out: what it had been
    debited for lies beside its credits.
    """
    resets = {one.id: set(one.resets) for one in books.subscriptions}
    uneven = {item.id for one in books.subscriptions for item in one.known if item.uneven}
    periods = {}
    for invoice in invoices:
        for one in invoice["lines"]["data"]:
            about = details(one)
            item = about.get("subscription_item")
            if item and item not in uneven and not about["proration"]:
                is_over = one["period"]["end"] <= invoice["created"]
                key = about["subscription"], item, is_over
                periods.setdefault(key, []).append((one["period"]["start"], one["period"]["end"]))
    found = []
    for (subscription, item, _), all_of in periods.items():
        all_of.sort()
        for (start, end), (next_start, next_end) in zip(all_of, all_of[1:]):
            if next_start != end and next_start not in resets[subscription]:
                found.append(f"{books.id}: {item} is invoiced for {start}-{end}, and next for {next_start}-{next_end}")
    return found
