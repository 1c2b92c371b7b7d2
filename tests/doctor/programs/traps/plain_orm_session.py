"""One session of SQLAlchemy is for one thread."""

import time

from sqlalchemy import create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import StaticPool


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


engine = create_engine("sqlite://", poolclass=StaticPool)


@event.listens_for(engine, "connect")
def connect(connection, _):
    connection.create_function("slowly", 0, lambda: time.sleep(0.04) or 1)


Base.metadata.create_all(engine)
with Session(engine) as session:
    session.add_all([User(id=number, name=str(number)) for number in range(8)])
    session.commit()

event.listen(engine, "before_cursor_execute", lambda *_: time.sleep(0.04))
with Session(engine) as session:
    users = [session.get(User, number) for number in range(8)]
    for user in users:
        session.refresh(user)
