import time


class Cursor:
    """As a database's: it has one result at a time."""

    def execute(self, query, row):
        time.sleep(0.04)
        self.row = row

    def fetchone(self):
        return self.row


def load(cursor, number):
    cursor.execute("select * from t where id = ?", (number,))
    return cursor.fetchone()


cursor = Cursor()
rows = [load(cursor, number) for number in range(6)]
assert rows == [(i,) for i in range(6)]
