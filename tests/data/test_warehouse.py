"""The warehouse's connections."""

from sqlalchemy import text

from noria.data.postgres.warehouse import Warehouse


def test_instants_come_in_utc_for_each_zone_of_the_server(database_url):
    separator = "&" if "?" in database_url else "?"
    warehouse = Warehouse(f"{database_url}{separator}options=-c%20timezone%3DAsia/Tokyo%20-c%20lock_timeout%3D7s")
    with warehouse.transaction() as connection:
        found = connection.execute(text("select current_setting('timezone'), current_setting('lock_timeout')")).one()
    warehouse.close()
    assert tuple(found) == ("UTC", "7s")
