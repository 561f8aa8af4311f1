"""The own account: password, signing out; and a hub that is killed while somebody looks."""

from __future__ import annotations

import signal

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


def test_a_killed_hub_is_told_and_every_page_recovers_by_itself(own_hub: Hub, people: People) -> None:
    open_page, new_page = people(own_hub, "physics-member"), people(own_hub, "physics-member")
    open_page.home()
    launcher = own_hub.process
    assert launcher is not None
    launcher.send_signal(signal.SIGSTOP)  # so that nobody starts the hub again before it was looked at
    try:
        told = "^answer 502: GET|^console error: .*Response Status Error Code 502"
        with open_page.may(told), new_page.may(told):
            own_hub.part("hub.app").kill()
            lost = open_page.page.get_by_text("The portal does not answer just now")
            expect(lost).to_be_visible()
            expect(new_page.go().get_by_role("heading", name="The hub is being restarted")).to_be_visible()
            launcher.send_signal(signal.SIGCONT)
            # Nobody clicks anything.
            expect(new_page.page.get_by_role("heading", name="Your groups")).to_be_visible()
            expect(lost).to_be_hidden()
    finally:
        launcher.send_signal(signal.SIGCONT)
