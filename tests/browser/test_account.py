"""The own account: password, signing out; and a hub that is killed while somebody looks."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import People
from tests.embedded.harness import Hub, until

NEW = "a new and longer password"


def test_change_the_password_and_sign_in_with_the_new_one(own_hub: Hub, people: People) -> None:
    person = people(own_hub, "both-member", sign_in=False)
    person.sign_in()
    page = person.page
    page.get_by_role("link", name="Change password").click()
    page.get_by_label("Present password").fill(own_hub.account_password("both-member"))
    page.get_by_label("New password", exact=True).fill(NEW)
    page.get_by_label("New password again").fill(NEW)
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("alert")).to_contain_text("has been changed")
    person.home()
    page.get_by_role("link", name="Sign out").click()
    person.go()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    with person.may("^answer 403: POST .*/hub/login"):
        person.sign_in()
        expect(page.get_by_text("Invalid username or password")).to_be_visible()
    person.sign_in(NEW)
    expect(page.get_by_role("heading", name="Your groups")).to_be_visible()


def test_signing_out_ends_the_session(hub: Hub, people: People) -> None:
    person = people(hub, "physics-member", sign_in=False)
    person.sign_in()
    form = f"{hub.url}/services/portal/new/physics/notebook"
    person.home()
    session = next(one for one in person.context.cookies() if one.get("name") == "service-portal")
    person.page.get_by_role("link", name="Sign out").click()
    person.page.wait_for_url("**/hub/login**")
    person.page.goto(form)
    expect(person.page.get_by_role("button", name="Sign in")).to_be_visible()
    person.context.add_cookies(
        [{"name": "service-portal", "value": session["value"], "url": form}]
    )  # whoever has copied the portal's session has nothing

    def over() -> bool:
        person.page.goto(form)
        return "/hub/login" in person.page.url

    until("the session is over, also for the portal's short memory of who is who", over)


def test_a_killed_hub_is_told_and_the_page_recovers_by_itself(own_hub: Hub, people: People) -> None:
    person = people(own_hub, "physics-member")
    with person.may("^(answer 50[0-9]|request failed|console error): ?"):
        page = person.home()
        own_hub.part("hub.app").kill()
        page.reload()
        expect(page.get_by_role("heading", name="Your groups")).to_be_visible()  # nobody clicks anything
        expect(page.get_by_text("does not answer just now")).to_be_hidden()
