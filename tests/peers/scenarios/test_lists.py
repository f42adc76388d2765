"""Pages of lists and of searches."""

from support import Scenario


class Lists(Scenario):
    def test_pages_go_both_ways(self):
        made = [self.v1.products.create({"name": f"Product {n}"}).id for n in range(7)][::-1]
        self.followed(*["product.created"] * 7)
        self.assertEqual([one.id for one in self.v1.products.list({"limit": 3}).auto_paging_iter()], made)
        page = self.v1.products.list({"limit": 3, "starting_after": made[1]})
        self.assertEqual(([one.id for one in page.data], page.has_more), (made[2:5], True))
        page = self.v1.products.list({"limit": 3, "ending_before": made[2]})
        self.assertEqual(([one.id for one in page.data], page.has_more), (made[:2], False))

    def test_a_search_finds_by_metadata_page_by_page(self):
        made = [self.v1.customers.create({"metadata": {"team": "red"}}).id for _ in range(5)]
        self.v1.customers.create({"metadata": {"team": "blue"}})
        self.followed(*["customer.created"] * 6)
        found = self.v1.customers.search({"query": "metadata['team']:'red'", "limit": 2})
        self.assertEqual((len(found.data), found.has_more), (2, True))
        self.assertEqual({one.id for one in found.auto_paging_iter()}, set(made))
