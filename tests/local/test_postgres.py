import psycopg


def test_serves_over_tcp_with_a_password(database_url):
    with psycopg.connect(database_url) as connection:
        assert connection.execute("show server_version_num").fetchone()[0] >= "180000"


def test_start_and_create_are_harmless_twice(postgres):
    postgres.start()
    postgres.create_database("postgres")
    assert postgres.is_running()
